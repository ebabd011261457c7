"""Values as people write them on a command line; both packages read them alike."""
