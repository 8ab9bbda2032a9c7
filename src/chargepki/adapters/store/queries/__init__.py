"""What is read, one file per noun: functions of a connection."""
