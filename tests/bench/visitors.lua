-- The requests of wrk: the visitors request the page one after the other. Their cookies are the
-- lines of a file.

local requests, last = {}, 0

function init(arguments)
  for cookie in io.lines(arguments[1]) do
    wrk.headers["Cookie"] = cookie
    requests[#requests + 1] = wrk.format()
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

-- Prints the number of responses per second, and how many responses were errors.
function done(summary)
  local rate = summary.requests / summary.duration * 1e6
  print("answers " .. rate .. " " .. summary.errors.status)
end
