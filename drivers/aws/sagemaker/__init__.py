"""SageMaker's real-time endpoints as a platform: model → endpoint configuration → endpoint, each known by its name."""
