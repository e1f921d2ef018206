"""From files that a user has (pictures, panoramas, posed pictures) to new world files."""
