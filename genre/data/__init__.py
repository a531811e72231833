"""Music is found or downloaded, stored as archives of log-mel arrays, split by artist and read as windows."""
