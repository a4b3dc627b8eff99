"""Services elsewhere that make pictures by the OpenAI images API: bytes in, bytes out. No torch.

A service is known by its name; where it is and what it is presented with never leaves this package: no error, warning or
value holds it. Sources: the API's reference (https://platform.openai.com/docs/api-reference/images) and the types of the
public `openai` package; RFC 9110 for statuses and Retry-After; the HTML standard, section 9.2, for event streams.
"""
