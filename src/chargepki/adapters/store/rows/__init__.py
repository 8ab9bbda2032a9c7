"""Records to rows and back, one file per group of tables. A row is a mapping of column to plain value."""
