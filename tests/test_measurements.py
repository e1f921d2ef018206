"""What the Speed panel and `rtfm bench` measure of our own work."""

import time

from rtfm_app.display.measurements import Moment


def test_time_that_we_did_not_work_is_on_the_clock_only():
    begun = Moment.now()
    time.sleep(0.05)
    slept = Moment.now() - begun
    assert slept.wall_s >= 0.05
    assert slept.cpu_s < 0.04
    while (worked := Moment.now() - begun - slept).cpu_s < 0.02:
        pass
    assert worked.wall_s >= worked.cpu_s - 0.005
