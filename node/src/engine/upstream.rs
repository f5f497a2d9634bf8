//! An OpenAI-compatible endpoint as an engine.
