module limeade.test/small

go 1.25
