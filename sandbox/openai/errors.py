"""OpenAI's errors: `{"error": {"message", "type", "param", "code"}}` with its own words and codes."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An answer that is an error.

    status: of HTTP. code: what clients branch on, or None. param: the field at fault, or None.
    kind: OpenAI's `type`. headers: to add to the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.body: dict[str, Any] = {
            "error": {"message": message, "type": kind, "param": param, "code": code}
        }


def no_key() -> ApiError:
    return ApiError(
        401,
        "You didn't provide an API key. You need to provide your API key in an Authorization header "
        "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        code=None,
    )


def wrong_key(key: str) -> ApiError:
    shown = f"{key[:3]}***{key[-2:]}" if len(key) > 8 else "***"
    return ApiError(
        401,
        f"Incorrect API key provided: {shown}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )


def no_such_url(method: str, path: str) -> ApiError:
    return ApiError(404, f"Invalid URL ({method} {path})", code=None)


def no_such_model(model: str) -> ApiError:
    return ApiError(
        404,
        f"The model `{model}` does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    )


def missing(param: str) -> ApiError:
    return ApiError(
        400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param
    )


def unknown(param: str) -> ApiError:
    return ApiError(400, f"Unknown parameter: '{param}'.", code="unknown_parameter", param=param)


def invalid_type(param: str, expected: str, value: object) -> ApiError:
    names = {str: "a string", bool: "a boolean", int: "an integer", float: "a number", list: "an array"}
    got = "null" if value is None else names.get(type(value), "an object")
    return ApiError(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.",
        code="invalid_type",
        param=param,
    )


def invalid_value(param: str, value: str, supported: list[str]) -> ApiError:
    *most, last = [f"'{s}'" for s in supported]
    return ApiError(
        400,
        f"Invalid value: '{value}'. Supported values are: {', '.join(most)}, and {last}.",
        code="invalid_value",
        param=param,
    )


def out_of_range(param: str, value: int, lowest: int, highest: int) -> ApiError:
    above = value > highest
    side, sign, bound = ("above maximum", "<=", highest) if above else ("below minimum", ">=", lowest)
    return ApiError(
        400,
        f"Invalid '{param}': integer {side} value. Expected a value {sign} {bound}, but got {value} instead.",
        code="integer_above_max_value" if above else "integer_below_min_value",
        param=param,
    )


def text_length(param: str, length: int, highest: int) -> ApiError:
    if length == 0:
        return ApiError(
            400,
            f"Invalid '{param}': string too short. Expected a string with minimum length 1, but got an "
            "empty string instead.",
            code="string_below_min_length",
            param=param,
        )
    return ApiError(
        400,
        f"Invalid '{param}': string too long. Expected a string with maximum length {highest}, but got a "
        f"string with length {length} instead.",
        code="string_above_max_length",
        param=param,
    )


def not_json() -> ApiError:
    return ApiError(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
        "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
        "valid JSON.)",
        code=None,
    )


def wrong_content_type(content_type: str) -> ApiError:
    return ApiError(
        400,
        f"Unsupported content type: '{content_type}'. This API method only accepts 'multipart/form-data' "
        "or 'application/json' requests, but you specified the header 'Content-Type: "
        f"{content_type}'. Please try again with a supported content type.",
        code="unsupported_content_type",
    )


def invalid_image(place: int) -> ApiError:
    return ApiError(
        400,
        f"Invalid image file or mode for image {place}, please check your image file.",
        code="invalid_image_file",
        kind="image_generation_user_error",
    )


def unsupported_mimetype(field: str, content_type: str) -> ApiError:
    return ApiError(
        400,
        f"Invalid file '{field}': unsupported mimetype ('{content_type}'). Supported file formats are "
        "'image/jpeg', 'image/png', and 'image/webp'.",
        code="unsupported_file_mimetype",
        param=field,
    )


def too_large() -> ApiError:
    return ApiError(413, "Maximum content size limit (67108864) exceeded.", code=None, kind="server_error")


def moderation_blocked(request_id: str) -> ApiError:
    return ApiError(
        400,
        "Your request was rejected by the safety system. If you believe this is an error, contact us at "
        f"help.openai.com and include the request ID {request_id}.",
        code="moderation_blocked",
        kind="image_generation_user_error",
    )


def rate_limited(model: str, seconds: float) -> ApiError:
    return ApiError(
        429,
        f"Rate limit reached for {model} in organization org-sandbox on requests per min (RPM): Limit 60, "
        f"Used 60, Requested 1. Please try again in {seconds:g}s.",
        code="rate_limit_exceeded",
        kind="requests",
        headers={"retry-after": f"{max(1, round(seconds))}", "retry-after-ms": f"{round(seconds * 1000)}"},
    )


def insufficient_quota() -> ApiError:
    return ApiError(
        429,
        "You exceeded your current quota, please check your plan and billing details. For more information "
        "on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        code="insufficient_quota",
        kind="insufficient_quota",
        headers={"x-should-retry": "false"},
    )


def server_error(request_id: str) -> ApiError:
    return ApiError(
        500,
        "The server had an error while processing your request. Sorry about that! You can retry your "
        f"request, or contact us through our help center at help.openai.com if the error persists. (Please "
        f"include the request ID {request_id} in your message.)",
        code=None,
        kind="server_error",
    )


def overloaded() -> ApiError:
    return ApiError(
        503,
        "The engine is currently overloaded, please try again later.",
        code=None,
        kind="server_error",
        headers={"retry-after": "1"},
    )
