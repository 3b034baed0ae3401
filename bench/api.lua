-- The script for wrk in bench/api.py: consecutive requests are of different users, and every dose is taken once.
-- Arguments: method, path (%s is a dose's id), a file with a token per line, a file with a dose's id per line.
-- Environment: the server's PORTS, which wrk's threads share, and the number of THREADS.

local ports, setups = {}, 0
for port in os.getenv("PORTS"):gmatch("%d+") do ports[#ports + 1] = port end

function setup(thread)
    thread.addr = wrk.lookup("127.0.0.1", ports[setups % #ports + 1])[1]
    thread:set("first", setups)
    setups = setups + 1
end

local step = tonumber(os.getenv("THREADS"))
local method, path, tokens, doses, n

local function lines(name)
    local all = {}
    for line in io.lines(name) do all[#all + 1] = line end
    return all
end

function init(arguments)
    method, path, tokens, doses, n = arguments[1], arguments[2], lines(arguments[3]), lines(arguments[4]), first
end

function request()
    local headers = {
        ["Authorization"] = "Bearer " .. tokens[n % #tokens + 1],
        ["Accept"] = "application/json",
        ["X-Forwarded-Proto"] = "https",
    }
    local at, body = path, nil
    if method == "POST" then
        at = path:format(doses[n % #doses + 1])
        headers["Content-Type"] = "application/json"
        body = ('{"event_id": "019aa000-0000-7000-8000-%012x"}'):format(n)
    end
    n = n + step
    return wrk.format(method, at, headers, body)
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(('{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "errors": %d}\n'):format(
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
