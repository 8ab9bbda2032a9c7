"""Who may do what: permissions, actors, and the one pure decision."""
