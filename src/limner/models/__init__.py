"""Models that are pulled: what they are, where their files lie, and how long they stay in memory."""
