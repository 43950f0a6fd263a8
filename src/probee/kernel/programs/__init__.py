"""Live programs: patching, loading, the verifier's answers in the user's words, test runs."""
