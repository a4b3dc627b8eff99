"""Pictures in and out of files, with the workflow that made them inside."""
