module limeade.test/server

go 1.25
