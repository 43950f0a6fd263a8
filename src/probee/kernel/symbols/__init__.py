"""From addresses to names and back."""
