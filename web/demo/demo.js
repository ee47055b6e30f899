// The page works without a script until it follows a channel.
