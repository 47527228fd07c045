"""Who trains the cells: processes, clusters, and the driver that writes."""
