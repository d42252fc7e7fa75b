"""Amazon Bedrock: models that AWS runs, asked for by id; what is created is a profile, bought capacity or an import."""
