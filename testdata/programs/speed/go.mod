module limeade.test/speed

go 1.25
