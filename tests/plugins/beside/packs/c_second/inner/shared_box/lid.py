"""In a package."""

LID = "second"
