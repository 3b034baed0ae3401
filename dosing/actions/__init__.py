"""Every write to schedules and doses."""
