"""What each method does between two model NATs, one file a method."""
