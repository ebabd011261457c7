"""The course of each method between two model NATs, one file a method."""
