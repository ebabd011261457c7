"""The evidence that each method's packets must show, one file a method."""
