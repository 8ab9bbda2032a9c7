"""What a failed precondition means to the caller: each function looks at what stands and names it."""
