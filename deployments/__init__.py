"""Everything that starts a flow: command line, schedules, configurations."""
