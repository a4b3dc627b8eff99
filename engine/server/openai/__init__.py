"""The OpenAI API for pictures, speech and film, answered by saved workflows: clients of that API work as they are.

A model is a workflow. Sources: the API's reference (https://platform.openai.com/docs/api-reference) and the types of the public
`openai` package.
"""
