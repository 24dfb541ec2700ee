-- What wrk asks: one visitor after the other asks for the page. Their cookies are
-- the lines of a file.

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

-- How many answers a second, and how many of them were errors.
function done(summary)
  local rate = summary.requests / summary.duration * 1e6
  print("answers " .. rate .. " " .. summary.errors.status)
end
