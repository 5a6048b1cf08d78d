"""The seventh venue: an exchange that was made up to show what adding one takes."""
