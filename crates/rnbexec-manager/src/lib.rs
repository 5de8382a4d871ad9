//! Triage Microsoft Sentinel incidents with notebooks.
