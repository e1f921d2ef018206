"""`python -m rtfm_app` is `rtfm`."""

from .cli import main

if __name__ == "__main__":
    main()
