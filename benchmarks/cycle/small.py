"""The settings of a cycle that only has to run, however well."""

SMALL = {
    "GUIDEALIGN_PLATFORM__SAFETY_USES_BASE": "true",
    "GUIDEALIGN_RETRIEVER__EPOCHS": "1",
    "GUIDEALIGN_ALIGN__MAX_INPUTS": "6",
    "GUIDEALIGN_LABRADOR__MAX_STEPS": "3",
    "GUIDEALIGN_GATES__LABRADOR_CASES": "33",
}
