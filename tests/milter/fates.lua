-- SPDX-License-Identifier: Apache-2.0
-- One message over a connection with everything offered. Given: socket, rcpt (one or several, split at commas), file (the message),
-- mode "local" or "smtp". Prints what the mail server was told, one a line, for the caller to compare.
local function fail(what)
	error(what)
end

local conn = mt.connect(socket)
if conn == nil then fail("no connection") end
if mt.conninfo(conn, "mx.receiver.example", "192.0.2.25") ~= nil then fail("conninfo") end
mt.macro(conn, SMFIC_MAIL, "i", "4QUEUE1")
if mt.mailfrom(conn, "<reporter@receiver.example>") ~= nil then fail("mailfrom") end
for r in string.gmatch(rcpt, "[^,]+") do
	if mt.rcptto(conn, r) ~= nil then fail("rcptto") end
	print("rcpt " .. string.char(mt.getreply(conn)))
end
if mt.data(conn) ~= nil then fail("data") end
print("data " .. string.char(mt.getreply(conn)))
if mt.getreply(conn) == SMFIR_CONTINUE then
	local text = io.open(file, "rb"):read("*a")
	local head, body = string.match(text, "^(.-\r\n)\r\n(.*)$")
	-- a fold stays in the value, with LF alone, as mail servers hand it over
	head = string.gsub(head, "\r\n([ \t])", "\n%1")
	for name, value in string.gmatch(head, "([^:\r\n]+):([^\r]*)\r\n") do
		-- the blank behind the colon is added by miltertest
		value = string.gsub(value, "^ ", "")
		if mt.header(conn, name, value) ~= nil then fail("header " .. name) end
	end
	if mt.eoh(conn) ~= nil then fail("eoh") end
	for at = 1, #body, 60000 do
		if mt.bodystring(conn, string.sub(body, at, at + 59999)) ~= nil then fail("body") end
	end
	if mt.eom(conn) ~= nil then fail("eom") end
	print("eom " .. string.char(mt.getreply(conn)))
	for r in string.gmatch(rcpt, "[^,]+") do
		if mt.eom_check(conn, MT_RCPTDELETE, r) then print("delrcpt " .. r) end
	end
	if mt.eom_check(conn, MT_HDRDELETE, "X-Dmarctap") then print("header deleted") end
	if mt.eom_check(conn, MT_HDRADD, "X-Dmarctap") then print("header " .. mt.getheader(conn, "X-Dmarctap", 0)) end
	if mt.eom_check(conn, MT_SMTPREPLY, "451", "4.3.0") then print("reply 451 4.3.0") end
	if mt.eom_check(conn, MT_SMTPREPLY, "452", "4.3.1") then print("reply 452 4.3.1") end
end
mt.disconnect(conn)
