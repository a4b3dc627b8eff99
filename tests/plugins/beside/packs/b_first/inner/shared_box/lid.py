"""In a package."""

LID = "first"
