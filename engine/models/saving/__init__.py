"""From handles back to files: weights with their patches, under the names that other tools read, a tensor at a time."""
