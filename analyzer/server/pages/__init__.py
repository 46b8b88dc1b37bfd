"""The pages of `analyzer serve`: for people, drawn on the server, and without a look elsewhere for anything."""
