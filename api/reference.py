"""The API's reference page, made from its OpenAPI document: plain HTML, no script, no CDN."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter()

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; } td, th { border: 1px solid #8888; padding: .2rem .6rem;
text-align: left; vertical-align: top; } @media (prefers-color-scheme: dark) {
body { background: #111; color: #ddd; } a { color: #8cf; } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"


@router.get("/docs", include_in_schema=False)
async def get_reference(request: Request) -> HTMLResponse:
    """Show every route, its parameters, body and answers."""
    document: dict[str, Any] = request.app.openapi()
    return HTMLResponse(render(document), headers={"Content-Security-Policy": _POLICY})


def render(document: dict[str, Any]) -> str:
    """Return the reference page of an OpenAPI document."""
    info = document["info"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info.get('description', ''))}</p>",
        '<p>Machine-readable: <a href="/openapi.json">openapi.json</a></p>',
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts.append(_operation(method, path, operation))
    parts.append("<h2>Schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(_schema(name, schema))
    return "\n".join((*parts, "</body></html>"))


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        _row(parameter["name"], parameter["in"], parameter.get("description", ""))
        for parameter in operation.get("parameters", [])
    ]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if body:
        rows.append(_row("body", "application/json", _kind(body["schema"])))
    for status, answer in operation["responses"].items():
        rows.append(_row(str(status), "answer", answer.get("description", "")))
    return (
        f'<h2 id="{escape(operation["operationId"])}"><code>{method.upper()} {escape(path)}</code>'
        f"</h2><p>{escape(operation.get('description', ''))}</p><table>{''.join(rows)}</table>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = [
        _row(
            field,
            _kind(content) + (" (required)" if field in required else ""),
            content.get("description", ""),
        )
        for field, content in schema.get("properties", {}).items()
    ]
    return (
        f'<h3 id="{escape(name)}">{escape(name)}</h3>'
        f"<p>{escape(schema.get('description', ''))}</p><table>{''.join(rows)}</table>"
    )


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    for union in ("anyOf", "allOf", "oneOf"):
        if union in schema:
            return " or ".join(_kind(each) for each in schema[union])
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    return str(schema.get("type", schema.get("const", "any")))


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
