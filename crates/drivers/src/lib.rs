//! Effects made real: processes and their keepers, artefacts, probes, hooks.
