"""A client of the official Python SDK, which starts its server as every MCP client does, and does what lines of JSON tell it.

    python3 client.py <directory of packages> <command> [argument ...]
    python3 client.py <directory of packages> <URL>                        a server over Streamable HTTP

The lines are those of client.mjs, answered one after the other.
"""

import asyncio
import json
import os
import sys

sys.path.insert(0, sys.argv[1])

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client


def say(value):
    print(json.dumps(value), flush=True)


async def obey(session, line):
    if line["do"] == "list":
        return await session.list_tools()
    if line["do"] == "call":
        return await session.call_tool(line["name"], line["arguments"])
    raise ValueError(f"nobody knows how to {line['do']}")


def reach(command, args):
    if command.startswith("http"):
        return streamable_http_client(command)
    return stdio_client(StdioServerParameters(command=command, args=args, env=dict(os.environ)))


async def main():
    command, *args = sys.argv[2:]
    async with reach(command, args) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        say({"server": "ready"})
        number = 0
        while line := await asyncio.to_thread(sys.stdin.readline):
            number += 1
            try:
                result = await obey(session, json.loads(line))
                say({"to": number, "result": result.model_dump(mode="json", by_alias=True, exclude_none=True)})
            except Exception as error:
                say({"to": number, "error": {"message": str(error)}})


asyncio.run(main())
