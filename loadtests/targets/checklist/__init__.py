"""CloudShelf's set-up checklist."""
