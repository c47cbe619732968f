"""What every trained family shares: the clock, EMA, schedules, callbacks and the loop."""
