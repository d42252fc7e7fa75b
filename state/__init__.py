"""What remembers: the record of intents and evidence, one writer per project at a time. No decisions live here."""
