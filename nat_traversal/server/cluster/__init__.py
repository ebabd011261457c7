"""Several servers that share one store: their clients find each other wherever they are."""
