"""Amazon Web Services: what its platforms share lies here, each platform in a package of its own."""
