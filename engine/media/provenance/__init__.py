"""What files tell of their making: content credentials (C2PA), the IPTC digital source type, and reading both."""
