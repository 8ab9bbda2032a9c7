"""Certificate profiles as data: what each kind of certificate looks like, and the clause that says so."""
